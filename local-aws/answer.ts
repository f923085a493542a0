import { el, type Xml, xmlDocument } from './xml.js'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Buffer
}

/** A refusal as AWS words it. Its message is sent: it holds no secret. */
export class AwsFault extends Error {
  override readonly name = 'AwsFault'
  readonly code: string
  readonly status: number

  constructor(code: string, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

export type Service = 'sts' | 'iam' | 's3'

const NAMESPACES: Readonly<Record<Service, string>> = {
  sts: 'https://sts.amazonaws.com/doc/2011-06-15/',
  iam: 'https://iam.amazonaws.com/doc/2010-05-08/',
  s3: 'http://s3.amazonaws.com/doc/2006-03-01/',
}

/** The query protocol's envelope: `ActionResponse`, `ActionResult`, `ResponseMetadata`. */
export function queryAnswer(
  service: 'sts' | 'iam',
  action: string,
  requestId: string,
  result?: readonly Xml[],
): Answer {
  const metadata = el('ResponseMetadata', el('RequestId', requestId))
  const content = result === undefined ? [metadata] : [el(`${action}Result`, ...result), metadata]
  return xmlAnswer(200, xmlDocument(`${action}Response`, NAMESPACES[service], ...content))
}

export const s3Answer = (root: string, ...content: readonly Xml[]): Answer =>
  xmlAnswer(200, xmlDocument(root, NAMESPACES.s3, ...content))

export function faultAnswer(service: Service, fault: AwsFault, requestId: string): Answer {
  const about = [el('Code', fault.code), el('Message', fault.message)]
  if (service === 's3') {
    const inner = el('Error', ...about, el('RequestId', requestId)).xml
    return xmlAnswer(fault.status, `<?xml version="1.0" encoding="UTF-8"?>\n${inner}`)
  }
  const type = el('Type', fault.status < 500 ? 'Sender' : 'Receiver')
  const content = [el('Error', type, ...about), el('RequestId', requestId)]
  return xmlAnswer(fault.status, xmlDocument('ErrorResponse', NAMESPACES[service], ...content))
}

const xmlAnswer = (status: number, body: string): Answer => ({
  status,
  headers: { 'content-type': status === 200 ? 'text/xml' : 'application/xml' },
  body,
})
