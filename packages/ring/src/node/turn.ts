import { guarded } from '../errors'
import { processEnds, whenProcessEnds } from '../process-end'
import { setImmediate } from '../timers'
import { nodeSockets } from './sockets'

/*
 * The end of a turn of the event loop, for sockets that are not on a ring: what was asked of a connection in one turn
 * is done when the turn ends, for all of them, as a ring does.
 */

/** Something that is advanced once at the end of the turn in which it was scheduled. */
export interface Turning {
  scheduled: boolean
  advance(): void
  /** Hands over to Node what it has to send, and calls nothing of the application's. */
  flush(): void
}

let waiting: Turning[] = []

export function scheduleForEndOfTurn(member: Turning): void {
  if (member.scheduled) return
  member.scheduled = true
  if (waiting.push(member) === 1) setImmediate(endTurn)
  if (processEnds) finish()
}

function endTurn(): void {
  const members = waiting
  waiting = []
  for (const member of members) {
    member.scheduled = false
    guarded(() => {
      member.advance()
    })
  }
}

/** As that of a ring does. */
function finish(): void {
  for (const member of waiting) member.scheduled = false
  for (const member of nodeSockets.members as Set<Partial<Turning>>) guarded(() => member.flush?.())
}

// The first try of Node's streams is a system call.
whenProcessEnds(finish)
