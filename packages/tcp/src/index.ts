export { adopt, connect } from './connect'
export { type KeepAlive, TcpConnection } from './connection'
export { listen, type TcpListener } from './listen'
export type { AdoptOptions, ConnectOptions, ListenOptions, Lookup, TcpOptions } from './options'
export type { TcpInfo } from './tcp-info'
export {
  createRing,
  defaultRing,
  type InternetAddress,
  type ListenerHandler,
  type Ring,
  type RingOptions,
  SheafError,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
