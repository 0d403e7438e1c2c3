export { connect, listen, socketpair } from './connect'
export { type Envelope, SeqpacketConnection, type SeqpacketHandler } from './connection'
export type { ConnectOptions, ListenOptions, SeqpacketOptions } from './options'
