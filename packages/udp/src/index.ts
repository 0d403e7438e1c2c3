export { bind, connect } from './open'
export type { BindOptions, ConnectOptions, Lookup, PathMtuDiscovery, UdpOptions } from './options'
export type { Destination, UdpHandler, UdpSocket } from './transport'
export {
  type Backend,
  type BorrowedChunk,
  capabilities,
  type Capabilities,
  type Capability,
  createRing,
  defaultRing,
  type InternetAddress,
  type MessageBatch,
  type MessageDetails,
  type MessageHandler,
  type MessageTransport,
  nodeSockets,
  type Ring,
  type RingOptions,
  SheafError,
} from '@sheaf/ring'
