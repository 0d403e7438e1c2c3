/** Tests that every adapter must pass, and what they are made of. */
export { echo, pattern, Random, Received, sha, until, untilIdle, Writer } from './fixtures'
export { type StreamFamily, type TestFramework, testStreams } from './streams'
