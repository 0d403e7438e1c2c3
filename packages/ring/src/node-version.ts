/** The major version of Node that runs: where its versions differ, a stand-in does as the one that it stands in for. */
export const nodeMajor = Number(process.versions.node.split('.', 1)[0])
