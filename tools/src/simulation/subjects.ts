import type { Subject } from './campaign'
import { datagramPrograms } from './datagram-programs'
import { runDatagrams } from './datagram-world'
import type { DatagramProgram, StreamProgram } from './program'
import { streamPrograms } from './stream-programs'
import { runStreams } from './stream-world'

/** Steps of one program, beyond those that open its first connections. */
export const programStepsMax = 40

export const streams: Subject<StreamProgram> = {
  name: 'streams',
  programs: streamPrograms(programStepsMax),
  run: runStreams,
}

export const datagrams: Subject<DatagramProgram> = {
  name: 'datagrams',
  programs: datagramPrograms(programStepsMax),
  run: runDatagrams,
}
