import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import type { RingOptions } from '@sheaf/tcp'
import { integer } from '../integer'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export interface ProxyOptions {
  readonly listen: Partial<Endpoint> & Pick<Endpoint, 'port'>
  readonly to: Endpoint
  readonly bidirectional: boolean
  readonly stats: boolean
  readonly ring: RingOptions
}

interface Flags {
  readonly listen: ProxyOptions['listen']
  readonly to: Endpoint
  readonly buffer: number
  readonly buffers: number
  readonly bundle: 'off' | 'recv' | 'send' | 'both'
  readonly send?: 'sendmsg'
  readonly recv?: 'recvmsg'
  readonly separate: boolean
  readonly bidirectional: boolean
  readonly stats: boolean
}

/** The kernel's bound on the entries of a provided-buffer ring. */
const buffersMax = 32768

/** Splits `HOST:PORT`, `[IPV6]:PORT` or, where the host may be left out, `PORT`. */
function endpoint(text: string, portMin: number): { host: string, port: number } {
  const match = /^(?:(?:\[(?<ipv6>[^\]]+)\]|(?<host>[^:[\]]*)):)?(?<port>\d+)$/.exec(text)
  const { ipv6, host, port } = (match?.groups ?? {}) as Partial<Record<'ipv6' | 'host' | 'port', string>>
  if (port === undefined || Number(port) > 65535 || Number(port) < portMin) {
    throw new InvalidArgumentError(`It must be HOST:PORT with a port from ${portMin} to 65535.`)
  }
  return { host: ipv6 ?? host ?? '', port: Number(port) }
}

function parseListen(text: string): ProxyOptions['listen'] {
  const { host, port } = endpoint(text, 0)
  return host === '' ? { port } : { host, port }
}

function parseTarget(text: string): Endpoint {
  const target = endpoint(text, 1)
  if (target.host === '') throw new InvalidArgumentError('It must be HOST:PORT.')
  return target
}

/**
 * Reads the command line.
 * @throws CommanderError after it has printed what was asked for, or one line that says what is wrong; `exitCode` is 2
 *   for the latter.
 */
export function parseProxyOptions(argv: readonly string[]): ProxyOptions {
  const command = new Command('proxy')
    .description('Forwards TCP connections through io_uring: received buffers are sent as they are, in bundles.')
    .requiredOption('--listen <[host:]port>', 'where to accept connections; port 0 takes a free one', parseListen)
    .requiredOption('--to <host:port>', 'where they go', parseTarget)
    .option('--buffer <bytes>', 'size of one receive buffer', integer(1, 2 ** 24), 4096)
    .option('--buffers <n>', 'receive buffers, for all connections together', integer(1, buffersMax), 128)
    .addOption(new Option('--bundle <which>', 'what takes many buffers at once; off: one buffer a request')
      .choices(['off', 'recv', 'send', 'both']).default('both'))
    .addOption(new Option('--send <method>', 'send the queue as one vector instead').choices(['sendmsg']))
    .addOption(new Option('--recv <method>', 'receive by multishot RECVMSG instead').choices(['recvmsg']))
    .option('--separate', 'send each received buffer as a span of its own, even beside its neighbour', false)
    .option('--bidirectional', 'forward what the target sends, too', false)
    .option('--stats', 'a line each second on stderr, and a JSON summary on stdout at the end', false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, 'proxy: ')) })
  try {
    command.parse(argv, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode !== 0) error.exitCode = 2
    throw error
  }
  const flags = command.opts<Flags>()
  return {
    listen: flags.listen,
    to: flags.to,
    bidirectional: flags.bidirectional,
    stats: flags.stats,
    ring: ringOptions(flags),
  }
}

function ringOptions(flags: Flags): RingOptions {
  const { buffer, buffers, bundle, send, recv, separate } = flags
  return {
    receiveBufferBytes: buffer,
    receiveBuffers: buffers,
    receiveMethod: recv ?? (bundle === 'recv' || bundle === 'both' ? 'bundle' : 'single'),
    sendMethod: send ?? (bundle === 'send' || bundle === 'both' ? 'bundle' : 'single'),
    // One request a buffer needs the buffers apart.
    mergeAdjacent: !separate && bundle !== 'off',
    // One connection may have all buffers in its queue.
    groupEntries: 2 ** Math.ceil(Math.log2(buffers)),
  }
}
