export { bind, connect } from './open'
export type { BindOptions, ConnectOptions, Lookup, PathMtuDiscovery, UdpOptions } from './options'
export { type Destination, type UdpHandler, UdpSocket } from './socket'
export {
  createRing,
  defaultRing,
  type InternetAddress,
  type MessageBatch,
  type MessageDetails,
  type MessageHandler,
  type MessageTransport,
  type Ring,
  type RingOptions,
  SheafError,
} from '@sheaf/ring'
