import { openDefaultRing } from '@sheaf/ring'
import { sharedChange } from './patches'

type Method = (this: typeof process, ...parameters: unknown[]) => unknown

/** Methods of `process` that may be the last it does, and whether they may with this first parameter. */
const endings: Readonly<Record<string, (first: unknown) => boolean>> = {
  /** To itself, or to a group of processes, which may be its own. */
  kill: (pid) => (pid as number) <= 0 || pid === process.pid,
  /** Another program takes the place of this one. Node 22.15 and later can do that. */
  execve: () => true,
  /** `process.exit` calls it in the end. Whoever has removed the listeners of `exit` has removed Sheaf's, too. */
  reallyExit: () => true,
}

/** Has what was written leave before, as it would have by system calls of Node's. */
export const replaceEndings = sharedChange(() => {
  const methods = process as unknown as Record<string, Method | undefined>
  const changes = Object.entries(endings).map(([name, mayEnd]) => {
    const { [name]: ofNode } = methods
    if (ofNode === undefined) return undefined
    const { [name]: method } = {
      [name](...parameters: unknown[]): unknown {
        if (mayEnd(parameters[0])) openDefaultRing()?.sendWritten()
        return ofNode.apply(process, parameters)
      },
    }
    Object.defineProperty(method, 'length', { value: ofNode.length })
    methods[name] = method
    return { name, ofNode, method }
  })
  return () => {
    for (const change of changes) {
      // Others may have put theirs there since.
      if (change !== undefined && methods[change.name] === change.method) methods[change.name] = change.ofNode
    }
  }
})
