export { bind, connect, open, socketpair } from './open'
export type { BindOptions, ConnectOptions, DatagramOptions } from './options'
export { type DatagramHandler, DatagramSocket, type Destination } from './socket'
