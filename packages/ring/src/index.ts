export { type Capabilities, type Capability } from './capabilities'
export {
  invalidArgumentType,
  invalidArgumentValue,
  outOfRange,
  SheafError,
  type SheafErrorCode,
  systemError,
  type SystemError,
} from './errors'
export {
  decodeSocketAddress,
  encodeSocketAddress,
  familyOf,
  internet6Family,
  internetFamily,
  socketAddressBytesMax,
} from './internet/socket-address'
export { limits } from './limits'
export { Metrics } from './metrics'
export { type ReceiveMethod, type RingOptions, type SendMethod } from './options'
export { createRing, defaultRing, Ring, type RingUsage } from './ring'
export { type ConnectionOptions, StreamConnection } from './stream/connection'
export { StreamListener } from './stream/listener'
export type {
  Address,
  Chunk,
  InternetAddress,
  Listener,
  ListenerHandler,
  PathAddress,
  StreamHandler,
  Transport,
  TransportState,
  WriteCallback,
} from './transport'
export type { SocketCalls } from '@sheaf/native'
