//! The question as it is put the second time: with what was wrong with the first answer.
//!
//! The first answer itself is left out: it costs tokens, and a model that reads its own mistake repeats it.

use super::shape::Misfit;
use crate::upstream::{Message, Prompt, Role};

/// `prompt`, and what was wrong with the answer to it.
pub(crate) fn again(prompt: &Prompt, misfit: &Misfit) -> Prompt {
    let list: Vec<String> = misfit.0.iter().map(|wrong| format!("- {wrong}")).collect();
    let mut again = prompt.clone();
    again.messages.push(Message {
        role: Role::User,
        content: format!(
            "An earlier answer to this did not fit the form that was asked for:\n{}\nAnswer with JSON of that form, and \
             with nothing else.",
            list.join("\n")
        ),
    });
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_stays_as_it_was_and_what_was_wrong_follows_it() {
        let prompt = Prompt {
            messages: vec![Message {
                role: Role::User,
                content: "Where to?".to_owned(),
            }],
            max_tokens: Some(50),
            ..Prompt::default()
        };
        let misfit = Misfit(vec!["/days: want integer".to_owned(), "/city: missing".to_owned()]);
        let again = again(&prompt, &misfit);
        assert_eq!(again.messages[..1], prompt.messages);
        assert_eq!((again.messages.len(), again.max_tokens), (2, Some(50)));
        let (role, text) = (again.messages[1].role, &again.messages[1].content);
        assert!(
            role == Role::User && text.contains("- /days: want integer\n- /city: missing\n"),
            "{text}"
        );
    }
}
