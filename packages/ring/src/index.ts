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
export {
  checkCallbacks,
  checkDescriptorOption,
  checkInteger,
  checkIntegerOption,
  checkObject,
  checkOption,
  checkSignalOption,
} from './option-checks'
export type {
export { adoptDescriptor, openSocket, prepared, type SocketKind } from './socket/descriptor'
export { getSocketOption, getSocketOptionBytes, setSocketOption, type SocketOption } from './socket/socket-option'
export { ConnectAttempt } from './stream/connect-attempt'
  Address,
  Chunk,
export {
  checkStreamConnectOptions,
  checkStreamListenOptions,
  checkStreamOptions,
  type StreamConnectOptions,
  type StreamListenOptions,
  type StreamOptions,
} from './stream/options'
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
