/** The filters of the history: times in the reader's own zone, and no empty fields in the address. */
for (const field of document.querySelectorAll<HTMLInputElement>('.filter-form input[data-instant]')) {
  const instant = new Date(field.value)
  const known = !Number.isNaN(instant.getTime())
  // What the server refused stays as it is, to be corrected.
  if (field.value !== '' && !known) continue
  const sent = document.createElement('input')
  sent.type = 'hidden'
  sent.name = field.name
  sent.value = field.value
  field.removeAttribute('name')
  field.type = 'datetime-local'
  field.step = '1'
  if (known) field.value = localText(instant)
  field.after(sent)
  field.addEventListener('input', () => {
    const chosen = new Date(field.value)
    sent.value = Number.isNaN(chosen.getTime()) ? '' : chosen.toISOString()
  })
}

for (const form of document.querySelectorAll<HTMLFormElement>('.filter-form')) {
  form.addEventListener('submit', () => {
    for (const field of form.querySelectorAll<HTMLInputElement | HTMLSelectElement>('[name]'))
      field.disabled = field.value === ''
  })
}

// Back from the next page, the browser shows this one as it was left.
window.addEventListener('pageshow', () => {
  for (const field of document.querySelectorAll<HTMLInputElement>('.filter-form [name]'))
    field.disabled = false
})

/** As `datetime-local` takes it: local time without a zone. */
function localText(instant: Date): string {
  const shifted = new Date(instant.getTime() - instant.getTimezoneOffset() * 60_000)
  return shifted.toISOString().slice(0, 19)
}

export {}
