import { once } from 'node:events'
import { performance } from 'node:perf_hooks'
import { clearInterval, setInterval } from 'node:timers'

/** The compiler takes so long, see `drop-in/main.ts`. */
const warmUpSeconds = 4

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

/** Says a line, and waits for the signal that answers it. */
async function sayAndAwait(line, signal) {
  const told = once(process, signal)
  // A signal that is waited for keeps no process alive.
  const stay = setInterval(() => undefined, 1000)
  console.log(line)
  await told
  clearInterval(stay)
}

/**
 * Says that it has warmed up, and measures when it has been told to collect garbage; says what has been done, and goes
 * on when whoever measures has noted what it needs.
 */
export async function measure(seconds, tasks) {
  await work(warmUpSeconds, tasks)
  await sayAndAwait('warm', 'SIGUSR2')
  const start = performance.now()
  const operations = await work(seconds, tasks)
  const took = (performance.now() - start) / 1000
  await sayAndAwait(JSON.stringify({ operations, seconds: took }), 'SIGTERM')
}
