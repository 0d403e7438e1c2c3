import { nodeIsAtLeast } from '../node-version'

/** `net.Server` and `dgram.Socket` take it from 22.12 on; before, they would do without and say nothing. */
export const hasReusePort = nodeIsAtLeast(22, 12)
