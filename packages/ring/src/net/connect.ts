import dns, { type LookupAddress } from 'node:dns'
import { getDefaultAutoSelectFamily, getDefaultAutoSelectFamilyAttemptTimeout, isIP } from 'node:net'
import { invalidArgumentType } from '@sheaf/ring'
import type { Endpoint } from './address-family'
import type { NetOptions } from './arguments'
import type { AttemptOptions } from './connect-attempts'
import {
  checkBlockList, checkBoolean, checkFunction, checkInt32, checkNumber, checkPort, checkString, invalidAddress,
  invalidAddressFamily, invalidValue,
  portOf,
} from './errors'
import type { Socket } from './socket'
import { state } from './socket-state'

/** Node takes no shorter time for an attempt. */
const attemptTimeoutMsMin = 10

/** What is checked of the options before anything happens. */
interface InternetTarget {
  readonly host: string
  readonly port: number
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
  readonly autoSelectFamily: boolean
  readonly attemptTimeoutMs: number
}

/** Connects to the first of these that lets it. */
export type StartAttempts = (endpoints: readonly Endpoint[], options: AttemptOptions) => void

/** Connects to `options.path`. @throws TypeError for a path that is no string. */
export function connectToPath(options: NetOptions, start: StartAttempts): void {
  checkString('options.path', options.path)
  start([{ address: options.path, port: 0, version: 0 }], {})
}

/**
 * Connects to `options.port` of `options.host`, resolving it if it is a name.
 * @throws TypeError, RangeError for bad options; everything else is told by events.
 */
export function connectToHost(socket: Socket, options: NetOptions, start: StartAttempts): void {
  const target = checkTarget(options)
  const { host, port, localAddress, localPort } = target
  const isBound = socket[state].boundPath !== undefined
  if (isBound && [options.localAddress, options.localPort].some((local) => local !== undefined)) {
    throw invalidValue('options', options, 'localAddress and localPort cannot be used with an adopted bound socket')
  }
  const blockList = checkBlockList((options as { blockList?: unknown }).blockList)
  const begin = (endpoints: Endpoint[]): void => {
    if (!socket.connecting) return
    socket._unrefTimer()
    start(endpoints, { localAddress, localPort, blockList, attemptTimeoutMs: target.attemptTimeoutMs })
  }
  const version = isIP(host)
  if (version !== 0) {
    const endpoints: Endpoint[] = [{ address: host, port, version: version as 4 | 6 }]
    // Whoever has bound it may ask at once where it is: the kernel has chosen.
    if (isBound) begin(endpoints)
    else process.nextTick(begin, endpoints)
    return
  }

  const given: unknown = options.lookup
  if (given !== undefined && given !== null) checkFunction('options.lookup', given)
  const lookup = (options.lookup ?? dns.lookup) as typeof dns.lookup
  const family = numericFamily(options.family)
  const one = family === 4 || family === 6
  const hints = options.hints ?? 0
  const query = { family, hints: hints === 0 && !one ? dns.ADDRCONFIG : hints } as dns.LookupOneOptions
  socket._host = host
  const fail = (error: Error): void => { process.nextTick(() => socket.destroy(error)) }

  if (one || isBound || localAddress !== undefined || !target.autoSelectFamily) {
    lookup(host, query, (error, address, addressVersion) => {
      socket.emit('lookup', error, address, addressVersion, host)
      if (!socket.connecting) return
      const problem = error ?? addressProblem(address, addressVersion, options)
      if (problem === undefined) begin([{ address, port, version: addressVersion as 4 | 6 }])
      else fail(problem)
    })
    return
  }
  lookup(host, { ...query, all: true }, (error, found) => {
    if (!socket.connecting) return
    if (error !== null && (error as unknown) !== undefined) {
      socket.emit('lookup', error, undefined, undefined, host)
      fail(error)
      return
    }
    // A program's own `lookup` may answer with one address all the same: a string, none of whose letters is an address.
    const addresses = Array.from(found)
    for (const { address, family: addressVersion } of addresses) {
      if (isStopped(socket)) return
      socket.emit('lookup', error, address, addressVersion, host)
    }
    if (isStopped(socket)) return
    const endpoints = alternating(addresses).map(({ address, family: addressVersion }) =>
      ({ address, port, version: addressVersion as 4 | 6 }))
    if (endpoints.length > 1) socket.autoSelectFamilyAttemptedAddresses = []
    if (endpoints.length > 0) begin(endpoints)
    else fail(addressProblem(addresses[0].address, addresses[0].family, options) as Error)
  })
}

function checkTarget(options: NetOptions): InternetTarget {
  const { localAddress, localPort, port, autoSelectFamily, autoSelectFamilyAttemptTimeout: timeout } = options
  // Falsy ones, null among them (undici's), are none.
  if (localAddress && isIP(localAddress) === 0) throw invalidAddress(localAddress)
  if (localPort) checkNumber('options.localPort', localPort)
  if (port !== undefined) {
    if (typeof port !== 'number' && typeof port !== 'string') {
      throw invalidArgumentType('options.port', 'one of type number or string', port)
    }
    checkPort(port)
  }
  const isGiven = (value: unknown): boolean => value !== undefined && value !== null
  if (isGiven(autoSelectFamily)) checkBoolean('options.autoSelectFamily', autoSelectFamily)
  if (isGiven(timeout)) checkInt32('options.autoSelectFamilyAttemptTimeout', timeout, 1)
  return {
    host: checkHost(options.host),
    port: portOf(port),
    localAddress: textOf(localAddress),
    localPort: orNone(localPort),
    autoSelectFamily: autoSelectFamily ?? getDefaultAutoSelectFamily(),
    attemptTimeoutMs: Math.max(timeout ?? getDefaultAutoSelectFamilyAttemptTimeout(), attemptTimeoutMsMin),
  }
}

/** What says an address when it is asked for its text is one. */
function textOf(address: { toString(): string } | null | undefined): string | undefined {
  return address ? address.toString() : undefined
}

/** Falsy ones are none. */
function orNone<T>(value: T | null | undefined): T | undefined {
  if (value) return value
  return undefined
}

/** @throws TypeError for what is no name: a resolver written in C would stop at the null, and ask for another. */
function checkHost(given: unknown): string {
  // Falsy ones, null among them, are none.
  if (!given) return 'localhost'
  checkString('options.host', given)
  if (given.includes('\0')) throw invalidValue('options.host', given, 'must be a string without null bytes.')
  return given
}

/** A handler may have destroyed the socket. */
function isStopped(socket: Socket): boolean {
  return !socket.connecting
}

/** `family` may be given as `dns.lookup` takes it. */
function numericFamily(family: unknown): number | undefined {
  if (family === 'IPv4') return 4
  return family === 'IPv6' ? 6 : family as number | undefined
}

function addressProblem(address: unknown, version: unknown, options: NetOptions): Error | undefined {
  if (typeof address !== 'string' || isIP(address) === 0) return invalidAddress(address)
  return version === 4 || version === 6 ? undefined : invalidAddressFamily(version, options.host, options.port)
}

/** The usable addresses, each once, those of the two families in turn, beginning with that of the first. */
function alternating(addresses: readonly LookupAddress[]): LookupAddress[] {
  const usable = addresses.filter(({ address, family }, index) =>
    addressProblem(address, family, {}) === undefined
    && addresses.findIndex((other) => other.address === address && other.family === family) === index)
  const preferred = usable.filter(({ family }) => family === usable[0].family)
  const others = usable.filter(({ family }) => family !== usable[0].family)
  const turns: LookupAddress[] = []
  for (let index = 0; index < usable.length; index++) {
    turns.push(...preferred.slice(index, index + 1), ...others.slice(index, index + 1))
  }
  return turns
}
