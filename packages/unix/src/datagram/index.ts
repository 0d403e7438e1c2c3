export { adopt, bind, connect, open, socketpair } from './open'
export type { AdoptOptions, BindOptions, ConnectOptions, DatagramOptions } from './options'
export { type DatagramHandler, DatagramSocket, type Destination } from './socket'
