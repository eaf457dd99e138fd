/**
 * Text from trained models. A {@link io.sterna.infer.Model} holds the weights, shared by any number of
 * {@link io.sterna.infer.Session}s, each a sequence with its cache; a {@link io.sterna.infer.Generator}
 * continues texts in one:
 *
 * <pre>{@code
 * try (Model model = Model.load(Path.of("runs/notes")); Session session = model.session(SessionOptions.of(model))) {
 *     Generation end = new Generator(session, model.tokenizer())
 *             .generate("Once upon", GenerationOptions.of(100), System.out::print);
 * }
 * }</pre>
 */
package io.sterna.infer;
