import type { Subject } from './campaign'
import type { StreamProgram } from './program'
import { streamPrograms } from './stream-programs'
import { runStreams } from './stream-world'

/** Steps of one program, beyond those that open its first connections. */
export const programStepsMax = 40

export const streams: Subject<StreamProgram> = {
  name: 'streams',
  programs: streamPrograms(programStepsMax),
  run: runStreams,
}
