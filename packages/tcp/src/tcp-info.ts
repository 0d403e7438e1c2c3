/**
 * `TCP_INFO` as an object. Times are in the unit that the name says; `…Bytes`, `…Segments` count since the connection
 * was made.
 */
export interface TcpInfo {
  /** The kernel's name of the state: `ESTABLISHED`, `CLOSE_WAIT`, `FIN_WAIT1`, … */
  readonly state: string
  readonly retransmits: number
  readonly probes: number
  readonly backoff: number
  readonly retransmitTimeoutUs: number
  readonly sendMaximumSegmentBytes: number
  readonly receiveMaximumSegmentBytes: number
  /** Segments sent and not acknowledged. */
  readonly unackedSegments: number
  readonly lostSegments: number
  readonly retransmittingSegments: number
  readonly lastDataSentMs: number
  readonly lastDataReceivedMs: number
  readonly pathMtuBytes: number
  readonly roundTripUs: number
  readonly roundTripVarianceUs: number
  readonly minimumRoundTripUs: number
  readonly congestionWindowSegments: number
  readonly totalRetransmits: number
  readonly bytesAcknowledged: number
  readonly bytesReceived: number
  readonly segmentsSent: number
  readonly segmentsReceived: number
  /** Bytes written to the socket that have not been sent at all. */
  readonly notSentBytes: number
  readonly deliveryRateBytesPerSecond: number
  readonly bytesSent: number
  readonly bytesRetransmitted: number
}

const states = [
  'UNKNOWN',
  'ESTABLISHED',
  'SYN_SENT',
  'SYN_RECV',
  'FIN_WAIT1',
  'FIN_WAIT2',
  'TIME_WAIT',
  'CLOSE',
  'CLOSE_WAIT',
  'LAST_ACK',
  'LISTEN',
  'CLOSING',
] as const

/** `struct tcp_info` of Linux 5.4 and later; a shorter one, from an older kernel, reads as zeros where it ends. */
export const tcpInfoBytes = 240

/** Reads `struct tcp_info` (`include/uapi/linux/tcp.h`). @param bytes `tcpInfoBytes` long. */
export function decodeTcpInfo(bytes: Uint8Array): TcpInfo {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (offset: number): number => view.getUint32(offset, true)
  const long = (offset: number): number => Number(view.getBigUint64(offset, true))
  return {
    state: states[view.getUint8(0)] ?? 'UNKNOWN',
    retransmits: view.getUint8(2),
    probes: view.getUint8(3),
    backoff: view.getUint8(4),
    retransmitTimeoutUs: word(8),
    sendMaximumSegmentBytes: word(16),
    receiveMaximumSegmentBytes: word(20),
    unackedSegments: word(24),
    lostSegments: word(32),
    retransmittingSegments: word(36),
    lastDataSentMs: word(44),
    lastDataReceivedMs: word(52),
    pathMtuBytes: word(60),
    roundTripUs: word(68),
    roundTripVarianceUs: word(72),
    congestionWindowSegments: word(80),
    totalRetransmits: word(100),
    bytesAcknowledged: long(120),
    bytesReceived: long(128),
    segmentsSent: word(136),
    segmentsReceived: word(140),
    notSentBytes: word(144),
    minimumRoundTripUs: word(148),
    deliveryRateBytesPerSecond: long(160),
    bytesSent: long(200),
    bytesRetransmitted: long(208),
  }
}
