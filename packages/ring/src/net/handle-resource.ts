import { AsyncResource } from 'node:async_hooks'

/**
 * What `async_hooks` says of a handle. Whose it is is in `owner`, as with Node's handles, where tools look for it (some
 * time after `init`, when the handle has one). Whoever closes the handle calls `emitDestroy`.
 */
export class HandleResource<Owner extends object> extends AsyncResource {
  readonly #handle: { readonly owner: Owner }

  /** @param triggerAsyncId of whatever it comes from, if that is not what is being executed. */
  constructor(type: string, handle: { readonly owner: Owner }, triggerAsyncId?: number) {
    super(type, { requireManualDestroy: true, ...(triggerAsyncId !== undefined && { triggerAsyncId }) })
    this.#handle = handle
  }

  get owner(): Owner | undefined {
    return #handle in this ? this.#handle.owner : undefined
  }
}
