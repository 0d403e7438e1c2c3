function atLeast(major: number, minor: number): boolean {
  const [ownMajor, ownMinor] = process.versions.node.split('.', 2).map(Number)
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}

/** `net.Server` and `dgram.Socket` take it from 22.12 on; before, they would do without and say nothing. */
export const hasReusePort = atLeast(22, 12)
