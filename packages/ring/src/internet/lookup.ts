import type { LookupAddress, LookupAllOptions } from 'node:dns'
import { invalidAddress } from '../errors'
import { familyOf } from './socket-address'

type Lookup = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void

const notFound = -3008

/**
 * The addresses of a host, one at least.
 * @param lookup `dns.lookup`, or the application's own, which may heed `all` or not. Rejects with what it fails with;
 *   with `ENOTFOUND` if there are none; with `ERR_INVALID_IP_ADDRESS` for what is no address.
 */
export function lookUp(host: string, family: 0 | 4 | 6, lookup: Lookup): Promise<string[]> {
  if (familyOf(host) !== undefined) return Promise.resolve([host])
  return new Promise((resolve, reject) => {
    lookup(host, { all: true, family }, (error: Error | null, found: unknown) => {
      if (error) reject(error)
      else settled(host, found).then(resolve, reject)
    })
  })
}

// eslint-disable-next-line @typescript-eslint/require-await -- what it throws rejects
async function settled(host: string, found: unknown): Promise<string[]> {
  const addresses = (Array.isArray(found) ? found as unknown[] : [found]).map(addressOf)
  for (const address of addresses) {
    if (typeof address === 'string' && familyOf(address) !== undefined) continue
    throw invalidAddress(address)
  }
  if (addresses.length !== 0) return addresses as string[]
  const code = 'ENOTFOUND'
  const syscall = 'getaddrinfo'
  throw Object.assign(new Error(`${syscall} ${code} ${host}`), { errno: notFound, code, syscall, hostname: host })
}

/** Of what `lookup` calls back with: for each address an object, or the only one as it is. */
function addressOf(found: unknown): unknown {
  return typeof found === 'object' ? (found as Partial<LookupAddress> | null)?.address : found
}
