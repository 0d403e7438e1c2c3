/**
 * `node --import @sheaf/unix/register app.js`, or `--require`: `node:net`, and with it `http`, `https`, `http2`, `tls`
 * and every client and server that is built on them, use Sheaf's sockets. Ports are taken by
 * `@sheaf/tcp` if that is installed.
 */
import { Registration, replaceNet } from '@sheaf/ring/register'
import '@sheaf/unix/net'

const registration = new Registration('@sheaf/unix', 'node:net', replaceNet)

/** Registers again. @returns whether `node:net` is replaced: not where there is no io_uring. */
export function register(): boolean {
  return registration.register()
}

/** Puts `node:net` back. Sockets and servers made meanwhile go on as they are. */
export function unregister(): void {
  registration.unregister()
}

register()
