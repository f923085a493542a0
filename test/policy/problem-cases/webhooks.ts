import type { Case } from './case.js'

const GOOD = `webhook: siem
url: https://siem.example.com/hook
secret_file: /run/secrets/siem
kinds: [issuance.denied, grant.*]
`

const change = (from: string, to: string): string => {
  if (!GOOD.includes(from)) throw new Error(`the webhook has no ${from}`)
  return GOOD.replace(from, to)
}

const url = (what: string, to: string, says: RegExp, code: Case['code']): Case => ({
  what,
  file: 'siem.yaml',
  text: change('https://siem.example.com/hook', to),
  code,
  line: 2,
  column: 6,
  says,
})

export const WEBHOOKS: readonly Case[] = [
  url('a webhook over http', 'http://siem.example.com/hook', /https/, 'url_insecure'),
  url(
    'a webhook with a user name',
    'https://me:secret@siem.example.com/',
    /without user name/,
    'url_insecure',
  ),
  url('a webhook with a fragment', 'https://siem.example.com/#hook', /fragment/, 'url_insecure'),
  url('a webhook to a file', 'file:///etc/passwd', /https/, 'url_insecure'),
  url('a webhook to this machine', 'https://localhost:8443/', /local: true/, 'url_insecure'),
  url('a webhook to the mail', 'https://siem.example.com:25/', /port 25; it must be 443/, 'field_invalid'),
  {
    what: 'a local webhook elsewhere',
    file: 'siem.yaml',
    text: `${GOOD}local: true\n`,
    code: 'field_invalid',
    line: 5,
    says: /receiver on loopback/,
  },
  {
    what: 'a secret in the document',
    file: 'siem.yaml',
    text: change('secret_file: /run/secrets/siem', 'secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'),
    code: 'key_unknown',
    line: 3,
    says: /Did you mean "secret_file"|There is: /,
  },
  {
    what: 'a secret file somewhere',
    file: 'siem.yaml',
    text: change('/run/secrets/siem', 'secrets/siem'),
    code: 'field_invalid',
    line: 3,
    says: /absolute path/,
  },
  {
    what: 'a misspelt kind of entry',
    file: 'siem.yaml',
    text: change('issuance.denied', 'issuance.denyed'),
    code: 'entry_kind_unknown',
    line: 4,
    column: 9,
    says: /Did you mean "issuance.denied"/,
  },
  {
    what: 'a beginning that none has',
    file: 'siem.yaml',
    text: change('grant.*', 'grants.*'),
    code: 'entry_kind_unknown',
    line: 4,
    says: /"grants\.\*"/,
  },
  {
    what: 'a star in the middle',
    file: 'siem.yaml',
    text: change('grant.*', '"*.denied"'),
    code: 'field_invalid',
    line: 4,
    says: /end in \*/,
  },
  {
    what: 'no kinds',
    file: 'siem.yaml',
    text: change('[issuance.denied, grant.*]', '[]'),
    code: 'field_invalid',
    line: 4,
    says: /must not be empty/,
  },
]
