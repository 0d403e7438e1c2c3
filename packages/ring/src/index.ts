export { throwIfAborted } from './aborting'
export { type Backend, type BackendOptions, checkBackendOptions, ringFor, ringOnlyFor, unsupported } from './backend'
export { isBytes } from './bytes'
export { type Capabilities, type Capability, ringCapability, type Tier, tierOf } from './capabilities'
export { capabilities, defaultRing, openDefaultRing, whyNoRing } from './default-ring'
export {
  guarded,
  invalidArgumentType,
  invalidAddress,
  invalidArgumentValue,
  outOfRange,
  SheafError,
  type SheafErrorCode,
  systemError,
  type SystemError,
  typeAndValue,
} from './errors'
export {
  decodeSocketAddress,
  encodeSocketAddress,
  familyOf,
  internet6Family,
  internetFamily,
  socketAddressBytesMax,
  zoneIndex,
} from './internet/socket-address'
export { lookUp } from './internet/lookup'
export { limits } from './limits'
export { type ControlReader, controlMessages } from './message/control'
export { MessageConnection, type MessageConnectionOptions } from './message/connection'
export { Lane } from './message/lane'
export { type MessageSocketTraits, MessageSocket, type MessageSocketOptions } from './message/socket'
export { Metrics } from './metrics'
export { NodeStreamConnection } from './node/connection'
export { NodeDatagramSocket } from './node/datagram-socket'
export { listeningServer, NodeStreamListener } from './node/listener'
export { checkSocketDescriptor, nodeSocket, nodeSocketOf } from './node/socket'
export { nodeSockets } from './node/sockets'
export { hasReusePort } from './node/version'
export { type ReceiveMethod, type RingOptions, type SendMethod } from './options'
export {
  checkCallbacks,
  checkDescriptorOption,
  checkInteger,
  checkIntegerOption,
  checkObject,
  checkOption,
  checkSignalOption,
  copyOptions,
} from './option-checks'
export { createRing, Ring, type RingUsage } from './ring'
export { ReceivedDescriptors, rightsType, socketLevel } from './socket/rights'
export { adoptDescriptor, hasBeenConnected, openSocket, prepared, type SocketKind } from './socket/descriptor'
export { getSocketOption, getSocketOptionBytes, setSocketOption, type SocketOption } from './socket/socket-option'
export { libuvIsAtLeast, nodeIsAtLeast, nodeMajor } from './node-version'
export { requireBuiltin, requireFrom } from './builtin'
export { stockDatagram, stockNet } from './stock'
export { ConnectAttempt, type ConnectHandler } from './stream/connect-attempt'
export { type DetailReader } from './stream/detail-receiver'
export { StreamConnection } from './stream/connection'
export type { Write } from './stream/sender'
export { type AcceptedSocket, StreamListener } from './stream/listener'
export { callInScope, callLastInScope, reportThrown, requestResource, runTicks } from './ticks'
export * as timers from './timers'
export { turnTimeMs } from './turn'
export {
  type ConnectionOptions,
  checkStreamConnectOptions,
  checkStreamListenOptions,
  checkStreamOptions,
  type StreamConnectOptions,
  type StreamListenOptions,
  type StreamOptions,
} from './stream/options'
export type {
  Address,
  BorrowedChunk,
  Chunk,
  Descriptors,
  InternetAddress,
  Listener,
  ListenerHandler,
  MessageBatch,
  MessageConnectionHandler,
  MessageConnectionTransport,
  MessageDetails,
  MessageHandler,
  MessageTransport,
  PathAddress,
  PeerCredentials,
  ReceivedDetails,
  StreamHandler,
  Transport,
  TransportState,
  WriteCallback,
} from './transport'
export { type SocketCalls, unavailable } from '@sheaf/native'
