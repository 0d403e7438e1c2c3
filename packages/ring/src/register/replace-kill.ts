import { openDefaultRing } from '@sheaf/ring'
import { sharedChange } from './patches'

type Kill = (pid: number, signal?: string | number) => true
type Execve = (path: string, ...rest: unknown[]) => never

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

/** The same before another program takes the place of this one, which Node 22.15 and later can do. */
export const replaceExecve = sharedChange(() => {
  const methods = process as { execve?: Execve }
  const { execve: ofNode } = methods
  if (ofNode === undefined) return () => undefined
  function execve(path: string, ...rest: unknown[]): never {
    openDefaultRing()?.sendWritten()
    return (ofNode as Execve).call(process, path, ...rest)
  }
  methods.execve = execve
  return () => {
    if (methods.execve === execve) methods.execve = ofNode
  }
})
