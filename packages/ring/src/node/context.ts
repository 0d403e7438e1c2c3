import { AsyncResource } from 'node:async_hooks'
import { guarded } from '../errors'

/**
 * The async context of handlers and callbacks that have none of their own: nobody's, as on a ring. Node's sockets call
 * in that of whoever made them, and the end of a turn comes in that of whoever was first to ask for it.
 */
export const noContext = withoutStores(new AsyncResource('SHEAFNODE', { requireManualDestroy: true }))

/** It has those of whoever loads this: Node keeps each in a property (before 24), or all in one. */
function withoutStores(resource: AsyncResource): AsyncResource {
  for (const key of Object.getOwnPropertySymbols(resource)) {
    if (key.description === 'kResourceStore' || key.description === 'context_frame') {
      Reflect.set(resource, key, undefined)
    }
  }
  return resource
}

/** Calls what may call the application, in {@link noContext}. */
export function callOutside(call: () => void): void {
  guarded(() => {
    noContext.runInAsyncScope(call)
  })
}
