/*
 * What a `Program` may be short of: commands to run it through, and flags for Node.js.
 */

/** 64 descriptors. */
export const fewDescriptors = ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"']

/** Limits of locked memory in kilobytes, from none at all to what a distribution gives everybody. */
export const lockedKb = [0, 64, 256, 1024, 8192]

/** So much locked memory. In a user namespace root is bound by it too. */
export function lockedMemory(limitKb: number): string[] {
  return ['unshare', '--user', '--map-root-user', 'sh', '-c', `ulimit -l ${limitKb} && exec "$0" "$@"`]
}

/** What is under way meets the collector often. */
export const smallHeaps = [
  ['--expose-gc', '--max-semi-space-size=1', '--max-old-space-size=24'],
  ['--expose-gc', '--gc-interval=500'],
]
