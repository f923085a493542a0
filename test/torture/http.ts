import { Agent, request } from 'node:http'

export interface Got {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** `lost`: it may have been carried out. `unsent`: nobody listened. */
export type Sent = Got | 'lost' | 'unsent'

export interface Client {
  readonly post: (base: string, path: string, token: string, body: object) => Promise<Sent>
  readonly close: () => void
}

/** A client that gives up after `timeoutMs` and never repeats anything by itself. */
export function createClient(timeoutMs: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const post: Client['post'] = (base, path, token, body) =>
    new Promise((resolve) => {
      const text = JSON.stringify(body)
      const headers = {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(text),
      }
      const sending = request(`${base}${path}`, { method: 'POST', agent, headers }, (answer) => {
        let got = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          got += chunk
        })
        answer.on('end', () => {
          clearTimeout(timer)
          try {
            resolve({ status: answer.statusCode ?? 0, body: JSON.parse(got) as Got['body'] })
          } catch {
            resolve('lost')
          }
        })
        answer.on('error', () => resolve('lost'))
      })
      const timer = setTimeout(() => sending.destroy(new Error('timeout')), timeoutMs)
      sending.on('error', (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        resolve(error.code === 'ECONNREFUSED' ? 'unsent' : 'lost')
      })
      sending.end(text)
    })
  return { post, close: () => agent.destroy() }
}
