import { openDefaultRing } from '@sheaf/ring'
import { sharedChange } from './patches'

type Kill = (pid: number, signal?: string | number) => true

/**
 * Has what was written leave before the process sends itself a signal, as it would have by system calls of Node's: it
 * may be the last thing that the process does.
 */
export const replaceKill = sharedChange(() => {
  const { kill: ofNode } = process as { kill: Kill }
  /** To itself, or to a group of processes, which may be its own. */
  function kill(pid: number, signal?: string | number): true {
    if (pid <= 0 || pid === process.pid) openDefaultRing()?.sendWritten()
    return ofNode.call(process, pid, signal)
  }
  process.kill = kill
  return () => {
    // Others may have put theirs there since.
    if (process.kill === kill) process.kill = ofNode
  }
})
