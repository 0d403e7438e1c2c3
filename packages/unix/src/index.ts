export { adopt, connect, socketpair } from './connect'
export { listen } from './listen'
export type { AdoptOptions, ConnectOptions, ListenOptions, SocketPairOptions } from './options'
export type { PeerCredentials } from './peer-credentials'
export type { UnixConnection, UnixListener } from './transport'
export {
  type Backend,
  capabilities,
  type Capabilities,
  type Capability,
  createRing,
  defaultRing,
  type ListenerHandler,
  nodeSockets,
  type PathAddress,
  type Ring,
  type RingOptions,
  SheafError,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
