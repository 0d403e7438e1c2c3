import { execFileSync } from 'node:child_process'
import type { Host, Hosts } from './hosts'

/*
 * Addresses that exist only inside the namespaces. Each link is a network of its own, so that the source can't reach
 * the sink but through the proxy.
 */
const links = {
  front: { prefix: 24, near: '10.77.1.1', far: '10.77.1.2' },
  back: { prefix: 24, near: '10.77.2.1', far: '10.77.2.2' },
} as const

/**
 * The one that any namespace may choose. BBR, the default of some machines, paces small sends by a timer and overruns
 * the queues between two busy CPUs: 20 000 to 60 000 segments sent again in two seconds, twice the CPU per byte (6.18).
 */
const congestionControl = 'reno'

/** The defaults of Linux, whatever this machine has, so that the results of two machines can be compared. */
const socketMemory = {
  'net.ipv4.tcp_rmem': '4096 131072 6291456',
  'net.ipv4.tcp_wmem': '4096 16384 4194304',
}

function ip(...words: readonly string[]): void {
  execFileSync('ip', words, { stdio: ['ignore', 'ignore', 'pipe'] })
}

class Namespace implements Host {
  constructor(readonly name: string) {}

  create(): void {
    ip('netns', 'add', this.name)
    this.run('sysctl', '-qw', `net.ipv4.tcp_congestion_control=${congestionControl}`)
    for (const [name, value] of Object.entries(socketMemory)) this.run('sysctl', '-qw', `${name}=${value}`)
  }

  on(command: readonly string[]): readonly string[] {
    return ['ip', 'netns', 'exec', this.name, ...command]
  }

  run(...command: readonly string[]): void {
    const [program = '', ...words] = this.on(command)
    execFileSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] })
  }

  addInterface(device: string, address: string, prefix: number): void {
    ip('-n', this.name, 'address', 'add', `${address}/${prefix}`, 'dev', device)
    ip('-n', this.name, 'link', 'set', device, 'up')
  }
}

/** A rate as `tc` writes it, e.g. `1gbit`. */
export interface Shaping {
  readonly rate: string
}

/**
 * Three network namespaces of this process's own, joined by two pairs of virtual Ethernet devices.
 * @param shaping limits what leaves each device.
 * @throws Error when the namespaces can't be made (no root, no `ip`, a container without the right), having removed
 *   what was made until then.
 */
export function namespaceHosts(shaping?: Shaping): Hosts {
  const made: Namespace[] = []
  let removed = false
  const remove = (): void => {
    if (removed) return
    removed = true
    for (const { name } of made) {
      try {
        // The devices go with their namespace.
        ip('netns', 'delete', name)
      } catch {
        // It was never there, or somebody else has deleted it.
      }
    }
  }
  const make = (role: string): Namespace => {
    const namespace = new Namespace(`sheaf-lab-${process.pid}-${role}`)
    // Before it exists: an interrupt in the middle of making it must find it.
    made.push(namespace)
    namespace.create()
    return namespace
  }
  try {
    const source = make('source')
    const proxy = make('proxy')
    const sink = make('sink')
    join(source, proxy, links.front, shaping)
    join(proxy, sink, links.back, shaping)
    return {
      description: `three network namespaces joined by veth pairs${shaping === undefined ? '' : ` at ${shaping.rate}`}`,
      source,
      proxy,
      sink,
      proxyAddress: links.front.far,
      sinkAddress: links.back.far,
      congestionControl,
      remove,
    }
  } catch (error) {
    remove()
    throw error
  }
}

function join(
  near: Namespace,
  far: Namespace,
  link: typeof links[keyof typeof links],
  shaping: Shaping | undefined,
): void {
  const nearDevice = 'downstream'
  const farDevice = 'upstream'
  const peer = ['peer', 'name', farDevice, 'netns', far.name]
  ip('link', 'add', 'name', nearDevice, 'netns', near.name, 'type', 'veth', ...peer)
  near.addInterface(nearDevice, link.near, link.prefix)
  far.addInterface(farDevice, link.far, link.prefix)
  if (shaping === undefined) return
  for (const [host, device] of [[near, nearDevice], [far, farDevice]] as const) {
    const bucket = ['tbf', 'rate', shaping.rate, 'burst', '256kb', 'latency', '20ms']
    host.run('tc', 'qdisc', 'add', 'dev', device, 'root', ...bucket)
  }
}
