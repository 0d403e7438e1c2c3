/** A host of the lab: a network namespace, or this machine itself. */
export interface Host {
  /** The command that runs `command` on this host. It becomes that program, so its process id is the program's. */
  on(command: readonly string[]): readonly string[]
}

/** Three hosts in a row: source, proxy, sink. */
export interface Hosts {
  /** What they are, as one line for the reader of the results. */
  readonly description: string
  readonly source: Host
  readonly proxy: Host
  readonly sink: Host
  /** Where the source finds the proxy, and the proxy the sink. */
  readonly proxyAddress: string
  readonly sinkAddress: string
  /** TCP's congestion control between them. */
  readonly congestionControl: string
  /** Takes away what was made. Synchronous, for a process that is about to exit; harmless when repeated. */
  remove(): void
}
