export { adopt, connect, socketpair } from './connect'
export { UnixConnection } from './connection'
export { listen } from './listen'
export type { UnixListener } from './listener'
export type { AdoptOptions, ConnectOptions, ListenOptions, SocketPairOptions } from './options'
export type { PeerCredentials } from './peer-credentials'
export {
  createRing,
  defaultRing,
  type ListenerHandler,
  type PathAddress,
  type Ring,
  type RingOptions,
  SheafError,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
