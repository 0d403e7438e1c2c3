// Runs random programs of one protocol and prints what came of them, a line of JSON each:
//
//   node [--import @sheaf/tcp/register] test/programs/run.mjs http|tls|http2 SEED [COUNT [EXCHANGE]]
import { clearTimeout, setTimeout } from 'node:timers'
import { Exchange } from './exchange.mjs'

const [protocol, from, count = 1, only] = process.argv.slice(2)
const { open } = await import(`./${protocol}.mjs`)
const deadlineMs = Number(process.env.SHEAF_PROGRAM_SECONDS ?? 30) * 1000

async function run(seed) {
  const logs = {}
  const uncaught = (error) => { (logs.uncaught ??= []).push(String(error?.stack ?? error)) }
  process.on('uncaughtException', uncaught)
  const chooser = new Exchange(seed).actor('program')
  const world = await open(chooser)
  const kinds = Object.keys(world.exchanges)
  const exchanges = Array.from({ length: 1 + chooser.below(8) }, (_, index) => {
    return { name: `${index} ${chooser.pick(...kinds)}`, exchange: new Exchange(seed * 100 + index) }
  }).filter((_, index) => only === undefined || index === Number(only))
  const width = 1 + chooser.below(4)
  const waiting = [...exchanges]
  const going = new Set()
  const lane = async () => {
    for (let next; (next = waiting.shift()) !== undefined;) {
      const { name, exchange } = next
      going.add(name)
      try {
        await world.exchanges[name.split(' ')[1]](exchange, Number(name.split(' ')[0]))
      } catch (error) {
        exchange.log('thrown', String(error?.stack ?? error))
      }
      going.delete(name)
    }
  }
  let deadline
  await Promise.race([
    Promise.all(Array.from({ length: width }, lane)).then(() => world.close()).catch(uncaught),
    new Promise((resolve) => { deadline = setTimeout(resolve, deadlineMs) }).then(() => {
      logs.hung = going.size === 0 ? ['close'] : [...going]
    }),
  ])
  clearTimeout(deadline)
  globalThis.gc?.()
  for (const { name, exchange } of exchanges) {
    exchange.verify()
    logs[name] = exchange.logs
  }
  process.off('uncaughtException', uncaught)
  process.stdout.write(`${JSON.stringify({ seed, logs })}\n`)
  return logs.hung === undefined
}

for (let seed = Number(from); seed < Number(from) + Number(count); seed++) {
  if (!await run(seed)) process.exit(3)
}
