import { AsyncResource } from 'node:async_hooks'

/**
 * What `async_hooks` says of a handle. Whose it is is in `owner`, as with Node's handles, where tools look for it (some
 * time after `init`, when the handle has one).
 */
export class HandleResource<Owner extends object> extends AsyncResource {
  readonly #handle: { readonly owner: Owner }

  constructor(type: string, handle: { readonly owner: Owner }) {
    super(type)
    this.#handle = handle
  }

  get owner(): Owner | undefined {
    return #handle in this ? this.#handle.owner : undefined
  }
}
