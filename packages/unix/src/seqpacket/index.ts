export { adopt, connect, listen, socketpair } from './connect'
export { type Envelope, SeqpacketConnection, type SeqpacketHandler } from './connection'
export type { AdoptOptions, ConnectOptions, ListenOptions, SeqpacketOptions } from './options'
