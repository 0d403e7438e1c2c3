/** Reverse proxies in front of a server on loopback, with connections to it that are kept. */
import { writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { freePort, program, type Running, startServer, temporaryDirectory } from './server'

export function startNginx(upstreamPort: number): Promise<Running> {
  return runNginx(`
    proxy_pass http://application;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_request_buffering off;
  `, `upstream application { server 127.0.0.1:${upstreamPort}; keepalive 32; }`)
}

/** No proxy: it answers with a short greeting. */
export function startNginxAlone(): Promise<Running> {
  return runNginx('return 200 "hello, world";', 'keepalive_requests 1000000000;')
}

/** @param location what it does with requests. @param http what else it is to be told of HTTP. */
async function runNginx(location: string, http: string): Promise<Running> {
  const port = await freePort()
  const directory = temporaryDirectory()
  const configuration = join(directory, 'nginx.conf')
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  writeFileSync(configuration, `
    daemon off;
    worker_processes 1;
    user ${userInfo().username};
    pid ${directory}/pid;
    error_log stderr;
    events { worker_connections 1024; }
    http {
      access_log off;
      client_max_body_size 0;
      ${temporary.map((name) => `${name}_temp_path ${directory}/${name};`).join(' ')}
      ${http}
      server {
        listen 127.0.0.1:${port};
        location / { ${location} }
      }
    }
  `)
  const parameters = ['-p', directory, '-c', configuration, '-e', 'stderr']
  return startServer({ command: program('nginx'), parameters, port, directory })
}

export async function startHaproxy(upstreamPort: number): Promise<Running> {
  const port = await freePort()
  const directory = temporaryDirectory()
  const configuration = join(directory, 'haproxy.cfg')
  writeFileSync(configuration, `
global
  maxconn 1024
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend entrance
  bind 127.0.0.1:${port}
  default_backend application
backend application
  http-reuse always
  server application 127.0.0.1:${upstreamPort}
`)
  return startServer({ command: program('haproxy'), parameters: ['-db', '-f', configuration], port, directory })
}
