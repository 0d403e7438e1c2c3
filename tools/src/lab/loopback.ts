import { readFileSync } from 'node:fs'
import type { Hosts } from './hosts'

/** All three hosts are this machine: what can be had without root. */
export function loopbackHosts(why: string): Hosts {
  const here = { on: (command: readonly string[]) => command }
  return {
    description: `loopback of one host (${why}, so no namespaces)`,
    source: here,
    proxy: here,
    sink: here,
    proxyAddress: '127.0.0.1',
    sinkAddress: '127.0.0.1',
    congestionControl: readFileSync('/proc/sys/net/ipv4/tcp_congestion_control', 'utf8').trim(),
    remove: () => undefined,
  }
}
