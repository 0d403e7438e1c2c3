/** `npm run proxy`: a TCP proxy on Sheaf. See `--help`. */
import { CommanderError } from 'commander'
import { parseProxyOptions, type ProxyOptions } from './options'
import { Proxy } from './proxy'
import { describe, summarize } from './statistics'

const statisticsIntervalMs = 1000

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}

function readOptions(): ProxyOptions {
  try {
    return parseProxyOptions(process.argv.slice(2))
  } catch (error) {
    if (error instanceof CommanderError) process.exit(error.exitCode)
    throw error
  }
}

/** Prints a line each second about the second that has passed. @returns what stops it. */
function reportEachSecond(proxy: Proxy): () => void {
  let before = summarize(proxy.ring)
  let beforeMs = performance.now()
  const timer = setInterval(() => {
    const after = summarize(proxy.ring)
    const afterMs = performance.now()
    if (after.bytes !== before.bytes) {
      say(describe(before, after, (afterMs - beforeMs) / 1000, proxy.connections))
    }
    before = after
    beforeMs = afterMs
  }, statisticsIntervalMs)
  return () => { clearInterval(timer) }
}

async function main(): Promise<void> {
  const options = readOptions()
  const proxy = await Proxy.open(options, (error) => { say(`proxy: ${error.message}`) })
  say(`listening on ${proxy.port}`)
  const stopReporting = options.stats ? reportEachSecond(proxy) : undefined

  let stopping = false
  const stop = (): void => {
    if (stopping) return
    stopping = true
    stopReporting?.()
    void proxy.close().then(() => {
      if (options.stats) console.log(JSON.stringify(summarize(proxy.ring)))
    })
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
}

main().catch((error: unknown) => {
  say(`proxy: ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 1
})
