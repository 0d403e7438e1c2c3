import type { Server } from './server'

/** The sockets of a server that one process has been sent: an object of Node's. */
export interface SocketList {
  getConnections(told: (error: Error | null, count: number) => void): void
  close(closed: () => void): void
  once(event: 'exit', listener: () => void): unknown
}

/** Has the server count those sockets, and wait for them, until the process exits. */
export function addWorker(server: Server, sockets: SocketList): void {
  server._usingWorkers = true
  server._workers.push(sockets)
  sockets.once('exit', () => { server._workers.splice(server._workers.indexOf(sockets), 1) })
}

/** Asks the processes that have been sent sockets, too. */
export function countConnections(server: Server, told: (error: Error | null, count: number) => void): void {
  let total = server._connections
  if (!server._usingWorkers) {
    process.nextTick(told, null, total)
    return
  }
  let left = server._workers.length
  for (const sockets of server._workers) {
    sockets.getConnections((error, count) => {
      total += count
      left = error === null ? left - 1 : 0
      if (left === 0) told(error, total)
    })
  }
}

/** @param closed called when nobody has a socket of the server's any more that was sent. */
export function closeWorkers(server: Server, closed: () => void): void {
  let left = server._workers.length
  const workerClosed = (): void => {
    if (--left === 0) closed()
  }
  for (const sockets of server._workers) sockets.close(workerClosed)
}
