import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { clearInterval, setInterval } from 'node:timers'

const warmUpSeconds = 0.7

/** A task of one operation. */
export const one = (operation) => async () => {
  await operation()
  return 1
}

/** Has each of `tasks` done over and over for so long. @returns how many operations they say that this was. */
async function work(seconds, tasks) {
  const end = performance.now() + seconds * 1000
  let operations = 0
  await Promise.all(tasks.map(async (task) => {
    while (performance.now() < end) {
      const done = await task()
      operations += done
    }
  }))
  return operations
}

/** Says when measuring begins, and then what has been done; goes on when whoever measures has noted what it needs. */
export async function measure(seconds, tasks) {
  await work(warmUpSeconds, tasks)
  // The first full collection changes how fast some go on, and comes in some processes and not in others.
  globalThis.gc()
  const start = performance.now()
  console.log('started')
  const operations = await work(seconds, tasks)
  const told = once(process, 'SIGTERM')
  const stay = setInterval(() => undefined, 1000)
  console.log(JSON.stringify({ operations, seconds: (performance.now() - start) / 1000 }))
  await told
  clearInterval(stay)
}
