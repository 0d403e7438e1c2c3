export { adopt, connect } from './connect'
/** @internal */
export { internetFamily } from './internet-family'
export { listen } from './listen'
export type { AdoptOptions, ConnectOptions, ListenOptions, Lookup, TcpOptions } from './options'
export type { TcpInfo } from './tcp-info'
export type { KeepAlive, TcpConnection, TcpListener } from './transport'
export {
  type Backend,
  capabilities,
  type Capabilities,
  type Capability,
  createRing,
  defaultRing,
  type InternetAddress,
  type ListenerHandler,
  nodeSockets,
  type Ring,
  type RingOptions,
  SheafError,
  type StreamHandler,
  type Transport,
} from '@sheaf/ring'
