/** The ways of forwarding that the lab compares. */
export interface Variant {
  readonly name: string
  /** What it is, for the legend and the table's notes. */
  readonly explanation: string
  /** Which program runs: Sheaf's proxy, the C program in `reference/`, or `node:net`. */
  readonly program: 'sheaf' | 'reference' | 'node'
  /** Flags of the proxy besides addresses and buffers. */
  readonly flags: readonly string[]
}

export const bundles: Variant = {
  name: 'bundles',
  explanation: 'bundled receive and bundled send, each buffer as it is',
  program: 'sheaf',
  flags: ['--bundle', 'both', '--separate'],
}

const merged: Variant = {
  name: 'merged',
  explanation: 'the same with neighbouring buffers sent as one: what Sheaf does by itself',
  program: 'sheaf',
  flags: ['--bundle', 'both'],
}

export const baseline: Variant = {
  name: 'bundle off',
  explanation: 'provided-buffer send ring, one buffer a request: the published baseline',
  program: 'sheaf',
  flags: ['--bundle', 'off'],
}

const nodePipe: Variant = {
  name: 'node:net pipe',
  explanation: 'socket.pipe(target), whatever the buffer size',
  program: 'node',
  flags: [],
}

export const referenceBundles: Variant = {
  name: 'C bundles',
  explanation: 'the C program on raw io_uring, bundled receive and bundled send, each buffer as it is',
  program: 'reference',
  flags: ['--bundle', 'both'],
}

const variants: readonly Variant[] = [
  baseline,
  bundles,
  merged,
  {
    name: 'sendmsg',
    explanation: 'bundled receive, vectored SENDMSG over the queue, each buffer as it is',
    program: 'sheaf',
    flags: ['--bundle', 'recv', '--send', 'sendmsg', '--separate'],
  },
  {
    name: 'recvmsg',
    explanation: 'multishot RECVMSG with its header in each buffer, bundled send',
    program: 'sheaf',
    flags: ['--bundle', 'send', '--recv', 'recvmsg'],
  },
  nodePipe,
]

/** In the order they are measured: what is to be compared follows at once. */
export function variantsWith(reference: boolean): readonly Variant[] {
  if (!reference) return variants
  return variants.flatMap((variant) => variant === bundles ? [bundles, referenceBundles] : [variant])
}
