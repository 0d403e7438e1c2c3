function isAtLeast(version: string, leastMajor: number, leastMinor: number): boolean {
  const [major, minor] = version.split('.', 2).map(Number)
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}

const { node, uv } = process.versions

/** The major version of Node that runs: where its versions differ, a stand-in does as the one that it stands in for. */
export const nodeMajor = Number.parseInt(node, 10)

export function nodeIsAtLeast(leastMajor: number, leastMinor: number): boolean {
  return isAtLeast(node, leastMajor, leastMinor)
}

export function libuvIsAtLeast(leastMajor: number, leastMinor: number): boolean {
  return isAtLeast(uv, leastMajor, leastMinor)
}
