/** Buttons that copy an id. Hidden by the server, shown here: without a clipboard they would do nothing. */
export function showCopyButtons(root: ParentNode = document): void {
  if (!('clipboard' in navigator)) return
  for (const button of root.querySelectorAll<HTMLButtonElement>('button.copy[data-copy]'))
    button.hidden = false
}

document.addEventListener('click', (event) => {
  const button =
    event.target instanceof Element ? event.target.closest<HTMLButtonElement>('button.copy') : null
  const text = button?.dataset.copy
  if (button === null || text === undefined) return
  navigator.clipboard
    .writeText(text)
    .then(
      () => 'copied',
      () => 'not copied',
    )
    .then((said) => {
      button.textContent = said
      setTimeout(() => {
        button.textContent = 'copy'
      }, 1500)
    })
})

showCopyButtons()
