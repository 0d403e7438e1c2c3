export { adopt, connect, socketpair } from './connect'
export * as datagram from './datagram/index'
/** @internal */
export { pathFamily } from './path-family'
export { listen } from './listen'
export type { AdoptOptions, ConnectOptions, ListenOptions, SocketPairOptions } from './options'
export * as seqpacket from './seqpacket/index'
export type { UnixConnection, UnixListener, WriteOptions } from './transport'
export {
  type Backend,
  type BorrowedChunk,
  capabilities,
  type Capabilities,
  type Capability,
  createRing,
  defaultRing,
  type ListenerHandler,
  nodeSockets,
  type Descriptors,
  type PathAddress,
  type PeerCredentials,
  type ReceivedDetails,
  type Ring,
  type RingOptions,
  SheafError,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
