/** Tests that every adapter must pass, and what they are made of. */
export { echo, pattern, Received, sha, until, untilIdle, Writer } from './fixtures'
export { Random } from './random'
export { fullTier, nodeTier, type Place, placeOn, type Tier, tiers } from './place'
export { type StreamFamily, type TestFramework, testStreams } from './streams'
export { type AnyMessageTransport, type MessageExchange, type MessageFamily, testMessages } from './messages'
export { createRingOn } from './ring-on'
