const [major, minor] = process.versions.node.split('.', 2).map(Number)

/** The major version of Node that runs: where its versions differ, a stand-in does as the one that it stands in for. */
export const nodeMajor = major

export function nodeIsAtLeast(leastMajor: number, leastMinor: number): boolean {
  return major > leastMajor || (major === leastMajor && minor >= leastMinor)
}
